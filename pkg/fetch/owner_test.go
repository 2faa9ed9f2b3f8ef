package fetch

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const nobody = 65534
	owner := &Owner{UID: nobody, GID: nobody, Groups: []int{nobody}}
	shared := t.TempDir()
	for dir := shared; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o001 == 0 {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	archive, secret := filepath.Join(shared, "app.tar"), filepath.Join(shared, "secret")
	if err := os.WriteFile(archive, anApp(t), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := Fetch(t.Context(), Request{URI: archive, Dir: dir, Name: "a/b/app.tar", Owner: owner}); err != nil {
		t.Fatal(err)
	}
	filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if name == dir || err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != nobody || st.Gid != nobody {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
		return nil
	})
	for _, cache := range []string{"", filepath.Join(t.TempDir(), "cache")} {
		if err := Fetch(t.Context(), Request{URI: secret, Dir: dir, Owner: owner, Cache: cache}); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("a file that its owner may not read: %v", err)
		}
	}
	if err := Fetch(t.Context(), Request{URI: secret, Dir: dir}); err != nil {
		t.Errorf("root is not itself any more: %v", err)
	}
}

// A root file system is unpacked as it was packed, but for what could harm the
// machine outside of it.
func TestRootFileSystem(t *testing.T) {
	if os.Geteuid() != 0 {
		_, _, err := Request{URI: "/x.tar", Dir: "/", RootFS: true}.validate()
		if err == nil || !strings.Contains(err.Error(), "only root") {
			t.Errorf("err = %v", err)
		}
		t.Skip("only root can give files away")
	}
	archive := filepath.Join(t.TempDir(), "root.tar")
	err := os.WriteFile(archive, tarball(t,
		tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		tar.Header{Name: "home/", Typeflag: tar.TypeDir, Mode: 0o2555, Uid: 1000, Gid: 1001},
		tar.Header{Name: "home/file", Typeflag: tar.TypeReg, Mode: 0o640, Uid: 1000, Gid: 1001},
		tar.Header{Name: "home/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow", Uid: 1000},
		tar.Header{Name: "bin/su", Typeflag: tar.TypeReg, Mode: 0o6755},
		tar.Header{Name: "dev/null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3},
		tar.Header{Name: "dev/vda", Typeflag: tar.TypeBlock, Mode: 0o666, Devmajor: 254},
	), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	owner := &Owner{UID: 0, GID: 0}
	if err := Fetch(t.Context(), Request{URI: archive, Dir: dir, Name: "rootfs/root.tar", RootFS: true, Owner: owner}); err != nil {
		t.Fatal(err)
	}
	var got []string
	root := filepath.Join(dir, "rootfs")
	filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		below, _ := filepath.Rel(root, name)
		got = append(got, fmt.Sprintf("%s %s %d:%d", below, info.Mode(), st.Uid, st.Gid))
		return nil
	})
	want := []string{
		". drwxr-xr-x 0:0", "bin drwxr-xr-x 0:0", "bin/su -rwxr-xr-x 0:0", "home dr-xr-xr-x 1000:1001",
		"home/file -rw-r----- 1000:1001", "home/link Lrwxrwxrwx 1000:0", "tmp dtrwxrwxrwx 0:0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, r := range map[string]Request{
		"zip": {URI: "/x.zip"}, "single": {URI: "/x.gz"}, "executable": {URI: "/x.tar", Executable: true}, "as it is": {URI: "/x.tar", Extract: ptr(false)},
	} {
		r.Dir, r.RootFS = dir, true
		if err := Fetch(t.Context(), r); err == nil || !strings.Contains(err.Error(), "is no tar archive to be unpacked by its name") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
