package main

func powerPart(l *lab) error { return nil }
func fullPart(l *lab) error  { return nil }
