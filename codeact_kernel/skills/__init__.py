"""Skills: functions of saved runs, kept as plain Python files. Nothing of one is run here."""
