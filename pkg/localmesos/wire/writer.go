package wire

import (
	"math"
	"strconv"
)

// Writer writes JSON text as RapidJSON does in Mesos: no blanks, doubles with
// their shortest digits and at least one decimal (8.0), infinities as strings,
// control characters escaped with upper-case hexadecimal digits. The zero
// value is ready. It trusts its caller to nest correctly.
type Writer struct {
	buf   []byte
	comma bool // a comma is due before the next key or value
}

// Bytes returns what was written.
func (w *Writer) Bytes() []byte { return w.buf }

func (w *Writer) separate() {
	if w.comma {
		w.buf = append(w.buf, ',')
	}
	w.comma = true
}

// BeginObject opens an object.
func (w *Writer) BeginObject() {
	w.separate()
	w.buf = append(w.buf, '{')
	w.comma = false
}

// EndObject closes the object.
func (w *Writer) EndObject() {
	w.buf = append(w.buf, '}')
	w.comma = true
}

// BeginArray opens an array.
func (w *Writer) BeginArray() {
	w.separate()
	w.buf = append(w.buf, '[')
	w.comma = false
}

// EndArray closes the array.
func (w *Writer) EndArray() {
	w.buf = append(w.buf, ']')
	w.comma = true
}

// Key writes the name of an object's next member.
func (w *Writer) Key(name string) {
	w.separate()
	w.quote(name)
	w.buf = append(w.buf, ':')
	w.comma = false
}

// String writes a string.
func (w *Writer) String(s string) {
	w.separate()
	w.quote(s)
}

// Raw writes JSON text as it is.
func (w *Writer) Raw(text []byte) {
	w.separate()
	w.buf = append(w.buf, text...)
}

// Bool writes a boolean.
func (w *Writer) Bool(b bool) {
	w.separate()
	w.buf = strconv.AppendBool(w.buf, b)
}

// Int writes a whole number.
func (w *Writer) Int(i int64) {
	w.separate()
	w.buf = strconv.AppendInt(w.buf, i, 10)
}

// Uint writes a whole number.
func (w *Writer) Uint(u uint64) {
	w.separate()
	w.buf = strconv.AppendUint(w.buf, u, 10)
}

// Double writes a floating-point number.
func (w *Writer) Double(f float64) {
	w.separate()
	switch {
	case math.IsInf(f, 1):
		w.buf = append(w.buf, `"Infinity"`...)
	case math.IsInf(f, -1):
		w.buf = append(w.buf, `"-Infinity"`...)
	case math.IsNaN(f):
		w.buf = append(w.buf, "NaN"...)
	default:
		w.buf = appendDouble(w.buf, f)
	}
}

// appendDouble uses a decimal point for magnitudes from 1e-6 to 1e21, and an
// exponent without sign or padding beyond.
func appendDouble(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	if abs == 0 || 1e-6 <= abs && abs < 1e21 {
		start := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		for _, ch := range dst[start:] {
			if ch == '.' {
				return dst
			}
		}
		return append(dst, ".0"...)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// Go writes 1e+30 and 1e-07.
	out := dst[:start]
	for i, ch := range dst[start:] {
		switch {
		case ch == '+':
		case ch == '0' && dst[start+i-1] == '-' && i > 1:
		default:
			out = append(out, ch)
		}
	}
	return out
}

func (w *Writer) quote(s string) {
	const hex = "0123456789ABCDEF"
	w.buf = append(w.buf, '"')
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case ch == '"' || ch == '\\':
			w.buf = append(w.buf, '\\', ch)
		case ch >= ' ':
			w.buf = append(w.buf, ch)
		case ch == '\b':
			w.buf = append(w.buf, '\\', 'b')
		case ch == '\t':
			w.buf = append(w.buf, '\\', 't')
		case ch == '\n':
			w.buf = append(w.buf, '\\', 'n')
		case ch == '\f':
			w.buf = append(w.buf, '\\', 'f')
		case ch == '\r':
			w.buf = append(w.buf, '\\', 'r')
		default:
			w.buf = append(w.buf, '\\', 'u', '0', '0', hex[ch>>4], hex[ch&0xf])
		}
	}
	w.buf = append(w.buf, '"')
}
