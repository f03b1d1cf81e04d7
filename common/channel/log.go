package channel

import "unicode/utf8"

// logBudget bounds the text in one log message, in bytes. JSON can make six
// bytes of one, so that a full message still stays below MaxMessage.
const logBudget = (MaxMessage - 1024) / 6

// MaxLogLine bounds one line of a log, in bytes; longer ones are cut into
// several.
const MaxLogLine = logBudget - 64

// SplitLog divides lines into log messages that each fit into one message.
func SplitLog(stream string, lines []string) []*Message {
	var out []*Message
	var batch []string
	size := 0
	flush := func() {
		if len(batch) > 0 {
			out = append(out, &Message{Type: TypeLog, Log: &Log{Stream: stream, Lines: batch}})
			batch, size = nil, 0
		}
	}
	add := func(line string) {
		if size+len(line)+1 > logBudget {
			flush()
		}
		batch = append(batch, line)
		size += len(line) + 1
	}
	for _, line := range lines {
		for len(line) > MaxLogLine {
			cut := MaxLogLine
			for cut > MaxLogLine-utf8.UTFMax && !utf8.RuneStart(line[cut]) {
				cut--
			}
			add(line[:cut])
			line = line[cut:]
		}
		add(line)
	}
	flush()
	return out
}
