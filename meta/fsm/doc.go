// Package fsm is the state machine of a metadata group.
package fsm
