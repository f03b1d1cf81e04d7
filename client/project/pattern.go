package project

import (
	"regexp"
	"strings"
)

// pattern is one rule of an ignore file, as gitignore(5) defines it.
type pattern struct {
	match    *regexp.Regexp // of bytes, see octets
	include  bool           // "!": includes entries that an earlier rule left out
	dirOnly  bool           // "/" at the end
	anchored bool           // "/" elsewhere: matched against the whole path below the file's folder
}

// parsePatterns reads the text of an ignore file.
func parsePatterns(text string, foldCase bool) []pattern {
	var out []pattern
	text = strings.TrimPrefix(text, "\ufeff")
	for line := range strings.SplitSeq(text, "\n") {
		if p, ok := parsePattern(line, foldCase); ok {
			out = append(out, p)
		}
	}
	return out
}

// parsePattern reads one line. It returns false for lines without a rule: blank
// lines, comments, and patterns that match nothing in git.
func parsePattern(line string, foldCase bool) (pattern, bool) {
	var p pattern
	line, _, _ = strings.Cut(strings.TrimSuffix(line, "\r"), "\x00")
	if line == "" || line[0] == '#' {
		return p, false
	}
	line = trimBlanks(line)
	if rest, ok := strings.CutPrefix(line, "!"); ok {
		p.include, line = true, rest
	}
	if rest, ok := strings.CutSuffix(line, "/"); ok {
		p.dirOnly, line = true, rest
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
	if foldCase {
		expr = "(?i)" + expr
	}
	var err error
	p.match, err = regexp.Compile(`(?s)\A` + expr + `\z`)
	return p, err == nil
}

// matches reports whether the rule applies to an entry: its name, and its path below the
// folder of the ignore file.
func (p *pattern) matches(name, path string, dir bool) bool {
	if p.dirOnly && !dir {
		return false
	}
	if p.anchored {
		name = path
	}
	return p.match.MatchString(octets(name))
}

// trimBlanks cuts blanks off the end, except one behind a backslash.
func trimBlanks(s string) string {
	end := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ':
			continue
		case '\\':
			if i++; i == len(s) {
				return s
			}
		}
		end = i + 1
	}
	return s[:end]
}

// translate turns a glob into a regular expression, which takes linear time for
// every glob. It matches bytes, as git does.
//
// In git, "**" stands for folders between slashes, at the start, and also behind the
// glob's literal beginning, which git compares first: src**/x.c matches src/a/x.c.
func translate(glob string) (string, bool) {
	var b strings.Builder
	literal := strings.IndexAny(glob, `*?[\`)
	for i := 0; i < len(glob); {
		switch c := glob[i]; c {
		case '*':
			end := i
			for end < len(glob) && glob[end] == '*' {
				end++
			}
			after := glob[end:]
			folders := end > i+1 && (i == literal || glob[i-1] == '/') &&
				(after == "" || after[0] == '/' || strings.HasPrefix(after, `\/`))
			switch {
			case folders && strings.HasPrefix(after, "/"):
				b.WriteString(`(?:.*/)?`)
				end++
			case folders:
				b.WriteString(`.*`)
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
			b.WriteString(regexp.QuoteMeta(octets(glob[i : i+1])))
			i++
		}
	}
	return b.String(), true
}

// octets returns a string with one character for each byte of s.
func octets(s string) string {
	ascii := true
	for i := 0; i < len(s) && ascii; i++ {
		ascii = s[i] < 0x80
	}
	if ascii {
		return s
	}
	all := make([]rune, len(s))
	for i := range len(s) {
		all[i] = rune(s[i])
	}
	return string(all)
}
