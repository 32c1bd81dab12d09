package dsn

import (
	"encoding/json"
	"errors"
	"time"
)

// passage is a Config as it goes to a child. It contains the passwords. Names, paths and
// passwords need not be valid text, so they are bytes.
type passage struct {
	Version     int
	Schema      string
	Lease       time.Duration
	Canonical   string
	HasPassword bool
	Settings    map[string][]byte
	Password    []byte
	SSLPassword []byte
	Command     []byte
	Files       [][]byte
}

const passageVersion = 1

// Passage returns the configuration with its passwords, for a child process that gets it
// through a socket. It does not depend on the environment or the directory of the child.
func (c *Config) Passage() []byte {
	p := passage{
		Version: passageVersion, Schema: c.Schema, Lease: c.Lease, Canonical: c.Canonical, HasPassword: c.HasPassword,
		Settings: map[string][]byte{}, Password: []byte(c.secret().password), SSLPassword: []byte(c.secret().sslPassword),
		Command: []byte(c.secret().command),
	}
	for key, value := range c.settings {
		p.Settings[key] = []byte(value)
	}
	for _, password := range c.secret().files {
		p.Files = append(p.Files, []byte(password))
	}
	b, err := json.Marshal(p)
	if err != nil {
		panic("dsn: a passage cannot be marshalled")
	}
	return b
}

// FromPassage returns the configuration that Passage wrote. It reads the files of TLS again.
func FromPassage(b []byte) (*Config, error) {
	var p passage
	if json.Unmarshal(b, &p) != nil || p.Version != passageVersion || len(p.Settings) == 0 {
		return nil, errors.New("the configuration of the connection cannot be read") // the cause could quote it
	}
	c := &Config{
		Schema: p.Schema, Lease: p.Lease, Canonical: p.Canonical, HasPassword: p.HasPassword, settings: settings{},
		secret: hide(&secret{password: string(p.Password), sslPassword: string(p.SSLPassword), command: string(p.Command)}),
	}
	for key, value := range p.Settings {
		c.settings[key] = string(value)
	}
	for _, password := range p.Files {
		c.secret().files = append(c.secret().files, string(password))
	}
	if err := c.build(); err != nil {
		return nil, err
	}
	return c, nil
}
