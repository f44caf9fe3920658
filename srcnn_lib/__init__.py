"""The small library that the chapters of this book share.

One module per idea; the lower ones never import the upper ones::

    images  resize  protocol  datasets       pictures and how they are measured
    models  checkpoints  methods             the networks and their rivals
    subimages  muon  threads  training       what training consists of, and training
    results                                  the recorded and the printed numbers
    plots  widgets  cli  chapters            what pages and people use

Nothing reads a file or the network at import.
"""
