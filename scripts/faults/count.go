package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"holdfast/scripts/faults/census"
)

// censusMain counts what is on the drives of a cluster that is stopped.
func censusMain(drives []string) error {
	if len(drives) == 0 {
		return errors.New("say which drives: the directories of all of the cluster's; no node may run")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	report, err := census.Take(ctx, census.Config{Drives: drives})
	if err != nil {
		return err
	}
	fmt.Println(report)
	return report.Whole()
}
