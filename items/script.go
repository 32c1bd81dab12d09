package items

func (t *Template) checkScripts() error { return nil }
