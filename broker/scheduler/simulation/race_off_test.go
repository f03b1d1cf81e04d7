//go:build !race

package simulation

const short = false
