"""Answers as students write them: right ones, and wrong ones with their message.

``ANSWERS[number]`` is ``(right, {part of the message: wrong answer})``.
"""
