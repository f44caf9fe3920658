"""The small library that the chapters of this book share.

One module per idea; the lower ones never import the upper ones::

    images  resize  metrics  datasets        pictures and how they are measured
    models  checkpoints  training            the network
    methods  evaluation  paper  ledger  cli  the experiments

Nothing reads a file or the network at import.
"""
