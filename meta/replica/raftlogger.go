package replica

import (
	"context"
	"fmt"
	"log/slog"
)

// raftLogger passes raft's words on. What raft calls info is a line for each election and vote:
// that is debug here.
type raftLogger struct {
	log   *slog.Logger
	group uint32
	id    uint64
}

func (l raftLogger) print(level slog.Level, text func() string) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, text(), "group", l.group, "raft_id", l.id)
	}
}

func (l raftLogger) format(level slog.Level, format string, v []any) {
	l.print(level, func() string { return "raft: " + fmt.Sprintf(format, v...) })
}

func (l raftLogger) values(level slog.Level, v []any) {
	l.print(level, func() string { return "raft: " + fmt.Sprint(v...) })
}

func (l raftLogger) Debug(v ...any)              { l.values(slog.LevelDebug, v) }
func (l raftLogger) Debugf(f string, v ...any)   { l.format(slog.LevelDebug, f, v) }
func (l raftLogger) Info(v ...any)               { l.values(slog.LevelDebug, v) }
func (l raftLogger) Infof(f string, v ...any)    { l.format(slog.LevelDebug, f, v) }
func (l raftLogger) Warning(v ...any)            { l.values(slog.LevelDebug, v) }
func (l raftLogger) Warningf(f string, v ...any) { l.format(slog.LevelDebug, f, v) }
func (l raftLogger) Error(v ...any)              { l.values(slog.LevelWarn, v) }
func (l raftLogger) Errorf(f string, v ...any)   { l.format(slog.LevelWarn, f, v) }

// Fatal and Panic end in a panic that the loop turns into a drive that is out.
func (l raftLogger) Fatal(v ...any)            { l.Panic(v...) }
func (l raftLogger) Fatalf(f string, v ...any) { l.Panicf(f, v...) }
func (l raftLogger) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
