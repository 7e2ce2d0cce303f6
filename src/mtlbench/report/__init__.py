"""From finished cells to the report: rows, evidence, figures and the page. Nothing here trains or needs raw data."""
