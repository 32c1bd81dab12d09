package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idem/ledger"
)

// TestCheckNamesDamage checks that each kind of damage is one line with the key, and that
// Check leaves it as it is.
func TestCheckNamesDamage(t *testing.T) {
	good := made(t)
	for name, test := range map[string]struct {
		damage func(t *testing.T, place string)
		want   string // in the only fault; "" for none
	}{
		"none":      {func(*testing.T, string) {}, ""},
		"record":    {sqlDamage("update records set fence=fence+1 where key=cast('k' as blob)"), `records: key "k": the record is damaged; its calls are refused (69)`},
		"attempt":   {sqlDamage("update attempts set exit_code=7 where run_id='r2'"), `records: key "k": attempt 2 is damaged; its calls are refused (69)`},
		"history":   {sqlDamage("update attempts set exit_code=7 where run_id='r1'"), `records: key "k": attempt 1 is damaged; its history cannot be shown (69)`},
		"no latest": {sqlDamage("delete from attempts where run_id='r2'"), `records: key "k": its latest attempt is gone; its calls are refused (69)`},
		"file": {
			sqlDamage("update files set content=cast('a=2' as blob) where position=0"),
			`records: key "small" in window "2026-11-22" of namespace "prod": attempt 1 is damaged; its calls are refused (69)`,
		},
		"small output": {
			sqlDamage("update outputs set frames=zeroblob(length(frames)) where attempt=(select id from attempts where run_id='r3')"),
			`outputs: key "small" in window "2026-11-22" of namespace "prod": attempt 1: the output of run r3 is damaged; a replay`,
		},
		"old output": {sqlDamage("delete from outputs where attempt=(select id from attempts where run_id='r1')"), `outputs: key "k": attempt 1: the output of run r1 is damaged; idem logs`},
		"gone":       {fileDamage("output/r2", nil), `outputs: key "k": attempt 2: the output of run r2 is gone; a replay`},
		"cut":        {fileDamage("output/r2", []byte("cut")), `outputs: key "k": attempt 2: the output of run r2 is damaged; a replay`},
		"no directory": {func(t *testing.T, place string) {
			must(t, os.Rename(filepath.Join(place, "output"), filepath.Join(place, "away")))
		}, `outputs`},
		"mutex":   {sqlDamage("insert into mutexes values (0,x'',x'',1,1,x'',x'','r',x'',1,x'',1,1)"), "mutexes: a mutex cannot be read"},
		"witness": {fileDamage("locks", []byte("0123456789abcdef")), "changes: the change count in locks is unreadable"},
		"lost":    {sqlDamage("update commits set n=1"), "changes: its last"},
		"secret":  {fileDamage("secret", []byte("short")), "secret: the secret cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			place := cloned(t, good)
			test.damage(t, place)
			before := look(t, place)
			r, err := Check(context.Background(), place, CheckOptions{})
			must(t, err)
			var faults []string
			for _, l := range r.Lines {
				if l.Level == ledger.LevelFault {
					faults = append(faults, l.Name+": "+l.Text)
				}
			}
			switch {
			case test.want == "" && len(faults) > 0:
				t.Errorf("got the faults %q, want none", faults)
			case test.want != "" && (len(faults) == 0 || !strings.HasPrefix(faults[0], test.want)):
				t.Errorf("got the faults %q, want one with %q", faults, test.want)
			}
			if after := look(t, place); after != before {
				t.Errorf("got a changed ledger:\n%s\nwant\n%s", after, before)
			}
		})
	}
}

// TestCheckOfNothing checks that Check creates nothing.
func TestCheckOfNothing(t *testing.T) {
	place := fresh(t)
	if _, err := Check(context.Background(), place, CheckOptions{}); !errors.Is(err, ledger.ErrMissing) {
		t.Errorf("got error %v, want ErrMissing", err)
	}
	if _, err := os.Lstat(place); !os.IsNotExist(err) {
		t.Errorf("got error %v, want no directory", err)
	}
}

// sqlDamage returns a function that changes rows behind idem's back.
func sqlDamage(statement string) func(t *testing.T, place string) {
	return func(t *testing.T, place string) { raw(t, place, statement) }
}

// fileDamage returns a function that replaces a file, or removes it if content is nil.
func fileDamage(name string, content []byte) func(t *testing.T, place string) {
	return func(t *testing.T, place string) {
		path := filepath.Join(place, name)
		if content == nil {
			must(t, os.Remove(path))
		} else {
			must(t, os.WriteFile(path, content, 0o600))
		}
	}
}
