"""From finished cells to the report: tables, statistics, figures and the page."""
