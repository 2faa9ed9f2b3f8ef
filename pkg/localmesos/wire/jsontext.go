package wire

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// value is a parsed JSON text. Objects are sorted by key and hold each key
// once, the last one of the text, as stout's do; the order decides which of
// several mistakes is told first.
type value struct {
	kind   valueKind
	text   string // of a string
	whole  int64  // of a number that is an int64
	float  float64
	list   []value
	fields []member
}

type member struct {
	name  string
	value value
}

type valueKind byte

const (
	kindNull valueKind = iota
	kindBool
	kindWhole // a number that fits an int64
	kindFloat
	kindString
	kindArray
	kindObject
)

// maxJSONDepth is stout's limit on nesting.
const maxJSONDepth = 200

var errOutOfRange = errors.New("Value out of range")

// parseJSON parses a whole text as picojson 1.3 does, whose leniencies and
// messages clients see: numbers such as "1." and "01" pass, and bytes that are
// no UTF-8 stay as they are.
func parseJSON(text []byte) (value, error) {
	p := &jsonParser{text: text}
	v, ok := p.parse(0)
	if p.overflow {
		return value{}, errOutOfRange
	}
	if !ok {
		return value{}, errors.New(p.syntaxError())
	}
	// Like stout, complain of anything visible behind the value.
	visible := len(text)
	for visible > 0 && strings.IndexByte(" \t\n\v\f\r", text[visible-1]) >= 0 {
		visible--
	}
	if p.pos != visible {
		rest := ""
		if p.pos < visible {
			rest = string(text[p.pos:visible])
		}
		return value{}, fmt.Errorf("Parsed JSON included non-whitespace trailing characters: %s", rest)
	}
	return v, nil
}

type jsonParser struct {
	text     []byte
	pos      int
	overflow bool
}

// next consumes a byte; it is -1 at the end.
func (p *jsonParser) next() int {
	if p.pos == len(p.text) {
		return -1
	}
	p.pos++
	return int(p.text[p.pos-1])
}

// refuse gives back the byte that next returned.
func (p *jsonParser) refuse(ch int) {
	if ch != -1 {
		p.pos--
	}
}

func (p *jsonParser) skipSpace() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *jsonParser) expect(ch byte) bool {
	p.skipSpace()
	if p.pos < len(p.text) && p.text[p.pos] == ch {
		p.pos++
		return true
	}
	return false
}

func (p *jsonParser) match(rest string) bool {
	for i := 0; i < len(rest); i++ {
		if ch := p.next(); ch != int(rest[i]) {
			p.refuse(ch)
			return false
		}
	}
	return true
}

// syntaxError names the line, and what is left of it.
func (p *jsonParser) syntaxError() string {
	line := 1
	for _, ch := range p.text[:p.pos] {
		if ch == '\n' {
			line++
		}
	}
	var rest []byte
	for _, ch := range p.text[p.pos:] {
		if ch == '\n' {
			break
		}
		if ch >= ' ' {
			rest = append(rest, ch)
		}
	}
	return fmt.Sprintf("syntax error at line %d near: %s", line, rest)
}

func (p *jsonParser) parse(depth int) (value, bool) {
	p.skipSpace()
	switch ch := p.next(); {
	case ch == 'n':
		return value{kind: kindNull}, p.match("ull")
	case ch == 'f':
		return value{kind: kindBool}, p.match("alse")
	case ch == 't':
		return value{kind: kindBool, whole: 1}, p.match("rue")
	case ch == '"':
		text, ok := p.parseString()
		return value{kind: kindString, text: text}, ok
	case ch == '[':
		return p.parseArray(depth)
	case ch == '{':
		return p.parseObject(depth)
	case ch == '-' || '0' <= ch && ch <= '9':
		p.refuse(ch)
		return p.parseNumber()
	default:
		p.refuse(ch)
		return value{}, false
	}
}

func (p *jsonParser) parseArray(depth int) (value, bool) {
	v := value{kind: kindArray}
	if depth == maxJSONDepth {
		return v, false
	}
	if p.expect(']') {
		return v, true
	}
	for {
		item, ok := p.parse(depth + 1)
		if !ok {
			return v, false
		}
		v.list = append(v.list, item)
		if !p.expect(',') {
			return v, p.expect(']')
		}
	}
}

func (p *jsonParser) parseObject(depth int) (value, bool) {
	v := value{kind: kindObject}
	if depth == maxJSONDepth {
		return v, false
	}
	if p.expect('}') {
		return v, true
	}
	for {
		if !p.expect('"') {
			return v, false
		}
		name, ok := p.parseString()
		if !ok || !p.expect(':') {
			return v, false
		}
		item, ok := p.parse(depth + 1)
		if !ok {
			return v, false
		}
		v.fields = append(v.fields, member{name, item})
		if !p.expect(',') {
			break
		}
	}
	// Sorted stably and read from the back, the last of equal names wins.
	slices.SortStableFunc(v.fields, func(a, b member) int { return strings.Compare(a.name, b.name) })
	kept := v.fields[:0]
	for i, f := range v.fields {
		if i+1 < len(v.fields) && v.fields[i+1].name == f.name {
			continue
		}
		kept = append(kept, f)
	}
	v.fields = kept
	return v, p.expect('}')
}

func (p *jsonParser) parseNumber() (value, bool) {
	start := p.pos
	for p.pos < len(p.text) && strings.IndexByte("0123456789+-eE.", p.text[p.pos]) >= 0 {
		p.pos++
	}
	text := string(p.text[start:p.pos])
	if whole, err := strconv.ParseInt(text, 10, 64); err == nil {
		return value{kind: kindWhole, whole: whole}, true
	}
	float, err := strconv.ParseFloat(text, 64)
	if errors.Is(err, strconv.ErrRange) && math.IsInf(float, 0) {
		p.overflow = true
		return value{}, false
	}
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return value{}, false
	}
	return value{kind: kindFloat, float: float}, true
}

// parseString parses what follows the opening quote.
func (p *jsonParser) parseString() (string, bool) {
	// Most strings have no escapes, and are a slice of the text.
	start := p.pos
	for p.pos < len(p.text) && p.text[p.pos] >= ' ' && p.text[p.pos] != '"' && p.text[p.pos] != '\\' {
		p.pos++
	}
	out := p.text[start:p.pos:p.pos]
	for {
		ch := p.next()
		switch {
		case ch < ' ':
			p.refuse(ch)
			return "", false
		case ch == '"':
			return string(out), true
		case ch != '\\':
			out = append(out, byte(ch))
			continue
		}
		switch ch = p.next(); ch {
		case '"', '\\', '/':
			out = append(out, byte(ch))
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := p.parseCodePoint()
			if !ok {
				return "", false
			}
			out = append(out, string(r)...)
		default:
			return "", false
		}
	}
}

func (p *jsonParser) parseCodePoint() (rune, bool) {
	first, ok := p.parseHex()
	if !ok || 0xdc00 <= first && first <= 0xdfff {
		return 0, false
	}
	if first < 0xd800 || first > 0xdfff {
		return first, true
	}
	if p.next() != '\\' || p.next() != 'u' {
		return 0, false
	}
	second, ok := p.parseHex()
	if !ok || second < 0xdc00 || second > 0xdfff {
		return 0, false
	}
	return (first-0xd800)<<10 | (second-0xdc00)&0x3ff + 0x10000, true
}

func (p *jsonParser) parseHex() (rune, bool) {
	var r rune
	for range 4 {
		ch := p.next()
		switch {
		case '0' <= ch && ch <= '9':
			r = r*16 + rune(ch-'0')
		case 'a' <= ch && ch <= 'f':
			r = r*16 + rune(ch-'a'+10)
		case 'A' <= ch && ch <= 'F':
			r = r*16 + rune(ch-'A'+10)
		default:
			p.refuse(ch)
			return 0, false
		}
	}
	return r, true
}
