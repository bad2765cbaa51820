// Package client finds the drive behind a drive ID. Drives of this process are called directly:
// no copy and no marshalling lies between a front and its own disks.
package client
