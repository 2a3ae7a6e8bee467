"""Reports that read several domains: the overview, lifelines, statistics, similar incidents."""
