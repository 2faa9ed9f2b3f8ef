package resource

import (
	"math"
	"strconv"
	"strings"
)

// Milli is a scalar quantity in thousandths: of a CPU, of a mebibyte.
type Milli int64

// Thousandths rounds a scalar as Mesos does, half away from zero.
func Thousandths(value float64) Milli { return Milli(math.Round(value * 1000)) }

// Whole returns n units.
func Whole(n int64) Milli { return Milli(n * 1000) }

// Float returns the quantity in units.
func (m Milli) Float() float64 { return float64(m) / 1000 }

// String prints the quantity in units without needless digits: 0.1, 8, 9.25.
func (m Milli) String() string {
	sign, abs := "", uint64(m)
	if m < 0 {
		sign, abs = "-", -abs
	}
	whole, part := strconv.FormatUint(abs/1000, 10), abs%1000
	if part == 0 {
		return sign + whole
	}
	digits := strconv.FormatUint(1000+part, 10)[1:]
	return sign + whole + "." + strings.TrimRight(digits, "0")
}
