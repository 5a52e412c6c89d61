"""Proof that needs no trust in us: canonical lines, their chain and tree, signed notes, and verifiers.

Pure, with public formats only: RFC 8785, RFC 6962, and C2SP's signed note and tlog-checkpoint.
"""
