"""The page, the tables in every format, and the sentences that state what was found."""
