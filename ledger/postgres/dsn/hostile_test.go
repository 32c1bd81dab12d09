package dsn_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"idem/ledger/postgres/dsn"
)

// impostor is a server that asks for the password in clear text, and refuses each login
// with a message in which %s is the password. It returns the error of a dial that it has answered
// at least once.
func impostor(t *testing.T, code, message string, env ...string) error {
	t.Helper()
	addr, again := serve(t, func(conn net.Conn) {
		b := pgproto3.NewBackend(conn, conn)
		if _, err := b.ReceiveStartupMessage(); err != nil {
			return
		}
		b.Send(&pgproto3.AuthenticationCleartextPassword{})
		_ = b.SetAuthType(pgproto3.AuthTypeCleartextPassword)
		_ = b.Flush()
		if msg, err := b.Receive(); err == nil {
			got := msg.(*pgproto3.PasswordMessage).Password
			b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: strings.ReplaceAll(message, "%s", got), Detail: got})
			_ = b.Flush()
		}
	})
	_, err := dialUntil(t, again, "postgres://u@"+addr+"/x?sslmode=disable", none(t, env...))
	return err
}

func TestAServerCannotPutThePasswordIntoAText(t *testing.T) {
	for _, code := range []string{"28P01", "42501", "XX000", "08P01"} {
		for _, env := range []string{"PGPASSWORD=S3CR3T", "IDEM_PG_PASSWORD_COMMAND=echo S3CR3T"} {
			for _, message := range []string{"your password is %s", "the detail says it"} {
				err := impostor(t, code, message, env)
				wantFailure(t, err, dsn.Class(err), "the server refused the connection")
				if server := new(pgconn.PgError); errors.As(err, &server) {
					t.Errorf("the message of the server can be reached: %s", server.Detail)
				}
			}
		}
	}
}

func TestMessagesOfAServerAreOneLine(t *testing.T) {
	message := "Sorry,\n\x1b[31mno\x1b[0m  \xff entry\u2028idem: done" + strings.Repeat(" x", 400)
	err := impostor(t, "28000", message)
	wantFailure(t, err, dsn.Auth, "sorry, [31mno [0m ? entry idem: done x")
	if text := dsn.Text(err); strings.ContainsAny(text, "\n\x1b") || len(text) > 310 {
		t.Errorf("got %q, want one short line", text)
	}
}

func TestAPasswordCommandThatHangsIsEnded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	c, err := dsn.Parse("postgres://u@127.0.0.1:1/x", none(t, "IDEM_PG_PASSWORD_COMMAND=sleep 1000 & echo $! >"+file+".new; mv "+file+".new "+file+"; wait"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	var pid int
	go func() {
		for pid == 0 && ctx.Err() == nil {
			b, _ := os.ReadFile(file)
			pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	_, err = c.Dial(ctx)
	wantFailure(t, err, dsn.Auth, "IDEM_PG_PASSWORD_COMMAND did not end in time")
	for range 1000 { // the parent of the orphan must collect it
		if state, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); syscall.Kill(pid, 0) != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the child of the command is alive: pid %d", pid)
}
