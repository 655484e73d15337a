"""Trainings: ``loop`` reads from top to bottom, ``learner`` is what it drives, ``run`` is what stands around it.

``encoder`` and ``fuser`` are what learns; ``plan`` and its two kin check and prepare, ``options`` is what a user may choose.
"""
