"""The small library that the chapters of this book share: one module per idea, and
the lower ones never import the upper ones.  Importing reads no file and no network.

    files  images  resize  protocol  datasets     pictures and how they are measured
    models  checkpoints  methods                  the networks and their rivals
    recipes  subimages  streams  muon  threads    what training consists of
    training  runs                                training, and what it leaves on disk
    results                                       the recorded and the printed numbers
    plots  widgets  options  cli  chapters        what pages and people use
"""
