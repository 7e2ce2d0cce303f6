"""Rules by which one number is made of the epochs of a run."""

#: Epochs averaged in the summary that the MTAN paper's code uses, whatever the protocol reports.
LAST = 10
