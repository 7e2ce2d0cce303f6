"""Parts that several architectures share. Nothing here is an entry of a grid."""
