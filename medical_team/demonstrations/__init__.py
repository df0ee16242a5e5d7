"""Demonstrations for supervised learning: what each player should say, made from error cases without a model.

- ``revisions``  an attacker's revisions whose truth the reference judge knows
- ``draw``       which demonstrations a step learns from, and how they are written
"""
