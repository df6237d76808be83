"""Where time, flops and bytes go: profiles, and facts about this machine."""
