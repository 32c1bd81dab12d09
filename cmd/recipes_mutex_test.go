package cmd_test

import (
	"fmt"
	"strings"
)

// This file tests the sections of docs/recipes.md about mutexes.

// waitsFor waits until n calls wait for a mutex.
func (b *box) waitsFor(mutex string, n int) {
	b.t.Helper()
	b.waitUntil(fmt.Sprintf("%d calls wait for %s", n, mutex), func() bool {
		return strings.Count(b.run("list", "--mutexes").out, mutex+"\t") >= n && strings.Count(b.run("list", "--mutexes").out, "\twaits\t") == n
	})
}

// Deployments to one target run one after the other, in the order of their calls.
func recipeTarget(k *recipeBox) {
	deploy := k.nextBlock("sh").text
	k.script("deploy.sh", `echo "start $1 $2" >>log; until [ -e "go.$2" ]; do sleep 0.01; done; echo "end $1 $2" >>log`)
	of := func(pipeline, target string) string {
		return "TARGET=" + target + " PIPELINE=" + pipeline + " COMMIT=c" + pipeline + "; " + deploy
	}
	var calls []*call
	start := func(pipeline, target string) { calls = append(calls, k.startRecipe(of(pipeline, target))) }
	start("1", "prod")
	k.waitLines("log", 1)
	start("2", "prod")
	k.waitsFor("deploy:prod", 1)
	start("3", "prod")
	k.waitsFor("deploy:prod", 2)
	start("4", "stage")
	k.waitLines("log", 2)
	for _, p := range []string{"4", "3", "2", "1"} {
		k.write("go.c"+p, "")
	}
	for _, c := range calls {
		k.wantStatus(c.wait(), 0)
	}
	var prod []string
	for line := range strings.Lines(k.read("log")) {
		if strings.Contains(line, "prod") {
			prod = append(prod, strings.TrimSpace(line))
		}
	}
	if got, want := strings.Join(prod, ", "), "start prod c1, end prod c1, start prod c2, end prod c2, start prod c3, end prod c3"; got != want {
		k.t.Errorf("got %s, want %s", got, want)
	}
	k.wantStatus(k.runRecipe(of("2", "prod")), 0) // a replay
}

// The migration runs alone, before the jobs that were called after it.
func recipePlaces(k *recipeBox) {
	report, migrate := k.nextBlock("sh").text, k.nextBlock("sh").text
	k.script("report.sh", `echo "$1" >>log; until [ -e "go.$1" ]; do sleep 0.01; done; echo "end $1" >>log`)
	k.script("migrate.sh", `echo "migrate" >>log; sleep 0.05; echo "end migrate" >>log`)
	var calls []*call
	job := func(day string) { calls = append(calls, k.startRecipe("DAY="+day+"; "+report)) }
	job("1")
	job("2")
	job("3")
	k.waitLines("log", 3)
	job("4")
	k.waitsFor("db", 1)
	calls = append(calls, k.startRecipe("VERSION=8; "+migrate))
	k.waitsFor("db", 2)
	job("5")
	k.waitsFor("db", 3)
	for _, day := range []string{"5", "4", "3", "2", "1"} {
		k.write("go."+day, "")
	}
	for _, c := range calls {
		k.wantStatus(c.wait(), 0)
	}
	lines := strings.Split(k.read("log"), "\n")
	if got := strings.Join(lines[len(lines)-5:], ","); got != "migrate,end migrate,5,end 5," {
		k.t.Errorf("got the log %q, want the migration alone, before the last job", lines)
	}
}
