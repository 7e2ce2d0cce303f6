"""The colours of lines and parts in every figure and diagram."""

#: Okabe and Ito's colours that stay apart for colour-blind readers and in print, without the yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F3C8D")
