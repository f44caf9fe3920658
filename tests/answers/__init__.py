"""Answers as students write them: right ones, and wrong ones with their mistake.

``ANSWERS[number]`` is ``(right, {id of the mistake: wrong answer})``; what follows a
slash in an id tells apart several answers with one mistake.
"""
