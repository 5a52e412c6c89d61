"""The clocks of several replicas, which agree within some seconds."""

# Seconds by which a clock may be behind another's: only what lies farther ahead was written by a clock
# that has been set back since.
APART = 60.0
