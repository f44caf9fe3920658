"""The small library that the chapters of this book share.

One module per idea; the lower ones never import the upper ones::

    images  resize  metrics  datasets        pictures and how they are measured
    models  checkpoints  methods             the networks and their rivals
    streaming  subimages  products  muon     what training consists of,
    parallel  graphs  training               and training itself
    evaluation  paper  ledger                the experiments
    plots  cli  colab                        what pages and people use

Nothing reads a file or the network at import.
"""
