package items

// ParseTemplate reads the command line of a batch.
func ParseTemplate(argv []string, o TemplateOptions) (*Template, error) {
	return &Template{o: o}, nil
}

// ScriptError is the error of a placeholder in the script of a shell, which would run the
// item as code.
type ScriptError struct {
	Shell string   // the program that runs the script
	Safe  []string // a command line that gives the item to the script as an argument; nil if unknown
}

func (e *ScriptError) Error() string { return "the item would be run as a script of " + e.Shell }
