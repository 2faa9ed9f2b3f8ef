package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	link          = "mesos"
	leaf          = "leaf"
	defaultWeight = 100
	mostWeight    = 10_000
)

// createLink makes the cgroup of one more task of a v2 chain, at the lowest
// level that is free.
func (c *Container) createLink(r *specs.LinuxResources) (*Group, error) {
	weight := uint64(defaultWeight)
	if r != nil && r.CPU != nil && r.CPU.Shares != nil {
		weight = Weight(*r.CPU.Shares)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		level := lowestFree(c.chain)
		if level >= c.depth {
			return nil, &DepthError{c.depth}
		}
		if level == len(c.chain) {
			c.chain = append(c.chain, 0)
		}
		c.chain[level] = weight
		g, err := c.makeLink(level, needed(V2, r))
		if err == nil {
			g.removed = func() { c.free(level) }
			return g, nil
		}
		if errors.Is(err, fs.ErrExist) {
			// Somebody's leaf, of an executor before this one. It keeps its
			// place for good.
			c.chain[level] = defaultWeight
			continue
		}
		c.release(level)
		return nil, err
	}
}

// makeLink makes the directories of one level, and of those above it that are
// missing, and weighs them anew.
func (c *Container) makeLink(level int, controllers []string) (*Group, error) {
	dir := c.dirs[0].Path
	for i := 0; i <= level; i++ {
		dir = filepath.Join(dir, link)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("cannot make a cgroup for a task: %w", err)
		}
		if _, err := enable(dir, controllers); err != nil {
			return nil, fmt.Errorf("cannot make a cgroup for a task: %w", err)
		}
	}
	dir = filepath.Join(dir, leaf)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make a cgroup for a task: %w", err)
	}
	rel, err := filepath.Rel(c.dirs[0].Path, dir)
	if err != nil {
		return nil, err
	}
	g, err := openV2(filepath.Join(c.name, rel), dir)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	g.options = c.options
	c.weigh()
	return g, nil
}

// weigh writes the weight of every link. Where there is no cpu controller
// there is nothing to weigh.
func (c *Container) weigh() {
	dir := c.dirs[0].Path
	for _, w := range chainWeights(c.chain) {
		dir = filepath.Join(dir, link)
		_ = write(filepath.Join(dir, "cpu.weight"), strconv.FormatUint(w, 10))
	}
}

// free gives a level back after its leaf has been removed.
func (c *Container) free(level int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.release(level)
}

func (c *Container) release(level int) {
	c.chain[level] = 0
	// The end of the chain goes as far as nobody lives there.
	for len(c.chain) > 0 && c.chain[len(c.chain)-1] == 0 {
		dir := c.dirs[0].Path
		for range c.chain {
			dir = filepath.Join(dir, link)
		}
		c.chain = c.chain[:len(c.chain)-1]
		// Should the kernel call it busy it stays as a part of the agent's
		// tree, is used again by the next task and goes with the container.
		_ = unlinkDir(dir)
	}
	c.weigh()
}

// lowestFree returns the first level without a task.
func lowestFree(chain []uint64) int {
	if i := slices.Index(chain, 0); i >= 0 {
		return i
	}
	return len(chain)
}

// chainWeights returns the weight of each link of a chain: the sum of the
// tasks' from that level down, within what the kernel takes.
func chainWeights(chain []uint64) []uint64 {
	weights := make([]uint64, len(chain))
	var sum uint64
	for i, w := range slices.Backward(chain) {
		sum += w
		weights[i] = min(max(sum, 1), mostWeight)
	}
	return weights
}
