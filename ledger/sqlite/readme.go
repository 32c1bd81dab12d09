package sqlite

// readme explains the directory of a ledger to people who find it.
const readme = `This directory is a ledger of idem, an idempotent task executor: its memory of
which commands have run, and how they ended. Deleting or editing anything here
can make a payment or a deploy run twice.

  ledger.db, ledger.db-wal, ledger.db-shm   the records (SQLite; copy all or none)
  locks, locks.d                            which keys are running; never remove it
  output/                                   recorded output of larger runs
  secret                                    keys the hashes of environment variables
  receipts                                  a cache of succeeded keys (sparse); may be removed
  init.lock                                 held while the ledger is made or migrated

Look at it with: idem list, idem show KEY, idem logs KEY
`
