"""What a model says, now and at any version: its rules, its versions, two editors' merge, reading it."""
