"""Who is on call: schedules of the policy, with the overrides and swaps that people make."""
