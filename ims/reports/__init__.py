"""What is read across domains: the overview, lifelines, statistics, similar incidents."""
