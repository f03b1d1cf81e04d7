package project

import (
	"regexp"
	"strings"
)

// pattern is one rule of an ignore file, as gitignore(5) defines it.
type pattern struct {
	match    *regexp.Regexp
	include  bool // "!": takes back what an earlier rule left out
	dirOnly  bool // "/" at the end
	anchored bool // "/" elsewhere: matched against the whole path below the file's folder
}

// parsePattern reads one line. It returns false for lines that are no rule:
// blank ones, comments, and patterns that git takes for matching nothing.
func parsePattern(line string) (pattern, bool) {
	var p pattern
	line = trimBlanks(strings.TrimSuffix(line, "\r"))
	if line == "" || line[0] == '#' {
		return p, false
	}
	if line[0] == '!' {
		p.include = true
		line = line[1:]
	}
	if rest, ok := strings.CutSuffix(line, "/"); ok {
		p.dirOnly = true
		line = rest
	}
	p.anchored = strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return p, false
	}
	expr, ok := translate(line)
	if !ok {
		return p, false
	}
	var err error
	p.match, err = regexp.Compile(expr)
	return p, err == nil
}

// trimBlanks cuts blanks off the end, up to one that a backslash quotes.
func trimBlanks(s string) string {
	for strings.HasSuffix(s, " ") {
		rest := s[:len(s)-1]
		slashes := len(rest) - len(strings.TrimRight(rest, `\`))
		if slashes%2 == 1 {
			break
		}
		s = rest
	}
	return s
}

// translate turns a glob into a regular expression, which takes linear time
// whatever the glob is.
func translate(glob string) (string, bool) {
	glob = strings.ReplaceAll(glob, `**\/`, `**/`) // a quoted slash is a slash
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(glob); {
		switch c := glob[i]; c {
		case '*':
			end := i
			for end < len(glob) && glob[end] == '*' {
				end++
			}
			whole := end == i+2 && (i == 0 || glob[i-1] == '/')
			switch {
			case whole && end < len(glob) && glob[end] == '/':
				b.WriteString(`(?:.*/)?`) // "**/": any folders, or none
				end++
			case whole && end == len(glob):
				b.WriteString(`.+`) // "/**" or all of it: everything inside
			default:
				b.WriteString(`[^/]*`)
			}
			i = end
		case '?':
			b.WriteString(`[^/]`)
			i++
		case '[':
			class, n, ok := translateClass(glob[i:])
			if !ok {
				return "", false
			}
			b.WriteString(class)
			i += n
		case '\\':
			if i+1 == len(glob) {
				return "", false
			}
			i++
			fallthrough
		default:
			r := firstRune(glob[i:])
			b.WriteString(regexp.QuoteMeta(r))
			i += len(r)
		}
	}
	b.WriteString(`\z`)
	return b.String(), true
}

// firstRune returns the first character of s, which is not empty, as a string.
func firstRune(s string) string {
	for i := range s {
		if i > 0 {
			return s[:i]
		}
	}
	return s
}
