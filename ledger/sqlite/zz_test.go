package sqlite

import ("testing";"idem/ledger";"idem/ledger/ledgertest")

func TestZZ(t *testing.T) { ledgertest.Run(t, ledgertest.Harness{
 New: func(t testing.TB) string { return t.TempDir()+"/l" },
 Open: func(p string) (ledger.Ledger, error) { return Open(p) },
}) }
