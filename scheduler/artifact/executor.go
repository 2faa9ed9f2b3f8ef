package artifact

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
)

// ExecutorName is the name of the executor's binary, beside the scheduler's and
// in agents' sandboxes.
const ExecutorName = "tandem-executor"

// ExecutorPath returns where the executor's binary is: beside the scheduler's
// own.
func ExecutorPath() (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", fmt.Errorf("cannot tell where the executor's binary is: %w", err)
	}
	return filepath.Join(filepath.Dir(self), ExecutorName), nil
}

// PutExecutor keeps the executor's binary, so that it stays what it is when the
// file at path is replaced, and returns its address and its SHA-256. The error is one line that
// says what to do when the file is missing or cannot be an executor.
func (a *Artifacts) PutExecutor(path string) (address, digest string, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", "", fmt.Errorf("the executor's binary is missing: there is no %s; put it there, or say where it is", path)
	}
	if err != nil {
		return "", "", fmt.Errorf("cannot read the executor's binary: %w", err)
	}
	defer f.Close()
	if err := checkExecutable(f); err != nil {
		return "", "", fmt.Errorf("%s cannot be the executor's binary: %w", path, err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", "", fmt.Errorf("cannot read the executor's binary: %w", err)
	}
	digest = hex.EncodeToString(sum.Sum(nil))
	if uri, ok := a.Find(digest, ExecutorName); ok {
		return jobspec.AddressOf(uri, a.Base()), digest, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", "", fmt.Errorf("cannot read the executor's binary: %w", err)
	}
	uri, err := a.Put(digest, ExecutorName, f)
	return jobspec.AddressOf(uri, a.Base()), digest, err
}

// checkExecutable finds what agents could not run. Their architecture is not
// known here.
func checkExecutable(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is not a file")
	case info.Mode()&0o111 == 0:
		return errors.New("it is not executable; chmod +x it")
	}
	e, err := elf.NewFile(f)
	if err != nil {
		return errors.New("it is not an ELF program for Linux")
	}
	if (e.OSABI != elf.ELFOSABI_NONE && e.OSABI != elf.ELFOSABI_LINUX) || (e.Type != elf.ET_EXEC && e.Type != elf.ET_DYN) {
		return fmt.Errorf("it is not an ELF program for Linux (%s, %s)", e.OSABI, e.Type)
	}
	return nil
}
