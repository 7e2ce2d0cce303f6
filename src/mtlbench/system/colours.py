"""The colours of lines and parts in every figure and diagram."""

#: The first three are Okabe and Ito's; all stay apart, and from black, in simulated deuteranopia and protanopia (a test
#: measures the distances).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#40C8E8", "#0C189C", "#6C300C", "#E8BE20")
