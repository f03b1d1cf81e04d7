package amp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/html"
)

const (
	// MaxPage bounds a page, in bytes.
	MaxPage = 192 << 10
	// TypePage is the media type of a page.
	TypePage = "text/html; charset=utf-8"
	// lineLength and elementLines give the text of a page the shape of other pages.
	lineLength   = 64
	elementLines = 256
)

// The required parts of an AMP document, in the order and the spelling of
// https://amp.dev/documentation/guides-and-tutorials/learn/spec/amphtml and of
// its boilerplate, which caches compare byte by byte.
const (
	pageHead = `<!doctype html>
<html amp lang="en">
<head>
<meta charset="utf-8">
<script async src="https://cdn.ampproject.org/v0.js"></script>
<title>Notes</title>
<link rel="canonical" href="/">
<meta name="viewport" content="width=device-width">
<style amp-boilerplate>body{-webkit-animation:-amp-start 8s steps(1,end) 0s 1 normal both;-moz-animation:-amp-start 8s steps(1,end) 0s 1 normal both;-ms-animation:-amp-start 8s steps(1,end) 0s 1 normal both;animation:-amp-start 8s steps(1,end) 0s 1 normal both}@-webkit-keyframes -amp-start{from{visibility:hidden}to{visibility:visible}}@-moz-keyframes -amp-start{from{visibility:hidden}to{visibility:visible}}@-ms-keyframes -amp-start{from{visibility:hidden}to{visibility:visible}}@-o-keyframes -amp-start{from{visibility:hidden}to{visibility:visible}}@keyframes -amp-start{from{visibility:hidden}to{visibility:visible}}</style><noscript><style amp-boilerplate>body{-webkit-animation:none;-moz-animation:none;-ms-animation:none;animation:none}</style></noscript>
</head>
<body>
`
	pageTail = "</body>\n</html>\n"
)

// EncodePage returns the page for a response.
func EncodePage(r *Response) ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("AMP page: %w", err)
	}
	packed, err := pack(r)
	if err != nil {
		return nil, fmt.Errorf("AMP page: %w", err)
	}
	var out bytes.Buffer
	out.WriteString(pageHead)
	text := version + base64.StdEncoding.EncodeToString(packed)
	for text != "" {
		out.WriteString("<pre>\n")
		for line := 0; line < elementLines && text != ""; line++ {
			n := min(lineLength, len(text))
			out.WriteString(text[:n] + "\n")
			text = text[n:]
		}
		out.WriteString("</pre>\n")
	}
	out.WriteString(pageTail)
	if out.Len() > MaxPage {
		return nil, fmt.Errorf("AMP page: %d bytes, at most %d are allowed", out.Len(), MaxPage)
	}
	return out.Bytes(), nil
}

// DecodePage returns the response in a page. A cache may have rewritten the page,
// so only the text within <pre> elements counts, without white space.
func DecodePage(page []byte) (*Response, error) {
	if len(page) > MaxPage {
		return nil, fmt.Errorf("AMP page: it is longer than %d bytes", MaxPage)
	}
	text, err := preformatted(page)
	if err != nil {
		return nil, fmt.Errorf("AMP page: %w", err)
	}
	body, ok := strings.CutPrefix(text, version)
	switch {
	case text == "":
		return nil, errors.New("AMP page: it has no response")
	case !ok:
		return nil, errors.New("AMP page: its version is unknown")
	}
	packed, err := base64.StdEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, fmt.Errorf("AMP page: %w", err)
	}
	var r Response
	if err := unpack(packed, &r); err != nil {
		return nil, fmt.Errorf("AMP page: %w", err)
	}
	return &r, nil
}

// preformatted returns the text of all <pre> elements without white space.
func preformatted(page []byte) (string, error) {
	var text strings.Builder
	inside := 0
	for z := html.NewTokenizer(bytes.NewReader(page)); ; {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			if err := z.Err(); err != io.EOF {
				return "", err
			}
			if inside != 0 {
				return "", errors.New("it is cut short")
			}
			return text.String(), nil
		case html.StartTagToken, html.EndTagToken:
			if name, _ := z.TagName(); string(name) == "pre" {
				if kind == html.StartTagToken {
					inside++
				} else {
					inside = max(inside-1, 0)
				}
			}
		case html.TextToken:
			if inside > 0 {
				for _, word := range bytes.Fields(z.Text()) {
					text.Write(word)
				}
			}
		}
	}
}
