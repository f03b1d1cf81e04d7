package channel

// logBudget bounds the text in one log message, in bytes. JSON can make six
// bytes of one, so a full message still stays below MaxMessage.
const logBudget = (MaxMessage - 1024) / 6

// MaxLogLine bounds one line of a log, in bytes. The agent's sandbox cuts longer
// lines.
const MaxLogLine = logBudget - 64

// BatchLog packs lines, each of at most MaxLogLine bytes, into log messages that
// each fit into MaxMessage.
func BatchLog(stream string, lines []string) []*Message {
	var out []*Message
	for len(lines) > 0 {
		n, size := 0, 0
		for n < len(lines) && (n == 0 || size+len(lines[n])+1 <= logBudget) {
			size += len(lines[n]) + 1
			n++
		}
		out = append(out, &Message{Type: TypeLog, Log: &Log{Stream: stream, Lines: lines[:n:n]}})
		lines = lines[n:]
	}
	return out
}
