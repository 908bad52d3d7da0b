/* How many processors the process may use, held against trees of files as the kernel shows them. */
#include "os_linux_cpu.h"

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "os.h"

enum { CPUS = 64 };

#define V1_CPU "30 29 0:26 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
#define V2 "30 29 0:26 / /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n"
#define OTHERS "22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n" \
	       "28 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw\n"

static char root[] = "/tmp/weft-cpu-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void remove_tree(void)
{
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_parents(char *path)
{
	for (char *slash = strchr(path + sizeof root, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(path, 0700);
		*slash = '/';
	}
}

/* Writes a file of the tree; its directories are made. */
static void put(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(const char *name, const char *format, ...)
{
	char path[2 * PATH_MAX];
	va_list args;
	if (strcmp(root + sizeof root - 7, "XXXXXX") == 0) {
		CHECK(mkdtemp(root));
		atexit(remove_tree);
	}
	CHECK(snprintf(path, sizeof path, "%s%s", root, name) < (int)sizeof path);
	make_parents(path);
	FILE *file = fopen(path, "w");
	CHECK(file);
	va_start(args, format);
	CHECK(vfprintf(file, format, args) >= 0);
	va_end(args);
	CHECK(fclose(file) == 0);
}

static void put_process(const char *cgroup, const char *mountinfo)
{
	put("/proc/self/cgroup", "%s", cgroup);
	put("/proc/self/mountinfo", "%s", mountinfo);
}

static int count(void)
{
	return wf_os_cpu_count_under(root, CPUS);
}

/* ---- one directory -------------------------------------------------------------------------------------------------- */

TEST(v2_quota)
{
	put_process("0::/app\n", OTHERS V2);
	put("/sys/fs/cgroup/app/cpu.max", "400000 100000\n");
	CHECK_EQ(count(), 4);
	put("/sys/fs/cgroup/app/cpu.max", "250000 100000\n");
	CHECK_EQ(count(), 3);
	put("/sys/fs/cgroup/app/cpu.max", "200001 100000\n");
	CHECK_EQ(count(), 3);
	put("/sys/fs/cgroup/app/cpu.max", "60000 20000\n");
	CHECK_EQ(count(), 3);
}

TEST(v1_quota)
{
	put_process("9:name=systemd:/app\n4:cpu,cpuacct:/app\n3:cpuset:/other\n", OTHERS V1_CPU);
	put("/sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "100000\n");
	put("/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "500000\n");
	CHECK_EQ(count(), 5);
	put("/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "500001\n");
	CHECK_EQ(count(), 6);
	put("/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "-1\n");
	CHECK_EQ(count(), CPUS);
}

TEST(at_least_two_but_not_above_affinity)
{
	put_process("0::/app\n", V2);
	put("/sys/fs/cgroup/app/cpu.max", "10000 100000\n");
	CHECK_EQ(count(), 2);
	CHECK_EQ(wf_os_cpu_count_under(root, 2), 2);
	CHECK_EQ(wf_os_cpu_count_under(root, 1), 1);
	put("/sys/fs/cgroup/app/cpu.max", "1 1000000\n");
	CHECK_EQ(count(), 2);
	put("/sys/fs/cgroup/app/cpu.max", "9000000 100000\n");
	CHECK_EQ(count(), CPUS);
	CHECK_EQ(wf_os_cpu_count_under(root, 3), 3);
}

TEST(no_limit)
{
	put_process("0::/app\n", V2);
	CHECK_EQ(count(), CPUS);
	put("/sys/fs/cgroup/app/cpu.max", "max 100000\n");
	CHECK_EQ(count(), CPUS);
}

TEST(garbage_is_no_limit)
{
	static const char *const garbage[] = {"", "\n", "3", "3 ", "300000 0\n", "0 100000\n", "-300000 100000\n", "300000 -1\n",
		"x 100000\n", "300000 max\n", "3e5 100000\n", "18446744073709851616 100000\n",
		" 300000 100000\n", "300000 100000 1\n"};
	put_process("0::/app\n4:cpu:/app\n", V2 V1_CPU);
	for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
		put("/sys/fs/cgroup/app/cpu.max", "%s", garbage[i]);
		CHECK_EQ(count(), CPUS);
	}
	put("/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "300000\n");
	CHECK_EQ(count(), CPUS);
	put("/sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "none\n");
	CHECK_EQ(count(), CPUS);
	put("/sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "100000");
	CHECK_EQ(count(), 3);
}

TEST(no_files)
{
	CHECK_EQ(count(), CPUS);
	put("/proc/self/cgroup", "0::/app\n");
	put("/sys/fs/cgroup/app/cpu.max", "300000 100000\n");
	CHECK_EQ(count(), CPUS);
	put("/proc/self/mountinfo", V2);
	CHECK_EQ(count(), 3);
	put("/proc/self/cgroup", "%s", "");
	CHECK_EQ(count(), CPUS);
}

/* ---- directories above ---------------------------------------------------------------------------------------------- */

TEST(the_tightest_of_all_above)
{
	put_process("0::/a/b/c\n", V2);
	put("/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
	CHECK_EQ(count(), 8);
	put("/sys/fs/cgroup/a/cpu.max", "500000 100000\n");
	CHECK_EQ(count(), 5);
	put("/sys/fs/cgroup/a/b/cpu.max", "1200000 200000\n");
	CHECK_EQ(count(), 5);
	put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
	CHECK_EQ(count(), 3);
	put("/sys/fs/cpu.max", "200000 100000\n"); /* above the mount point */
	CHECK_EQ(count(), 3);
	put("/sys/fs/cgroup/a/b/other/cpu.max", "200000 100000\n");
	CHECK_EQ(count(), 3);
}

TEST(v1_above)
{
	put_process("2:cpuacct,cpu:/a/b\n", V1_CPU);
	put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "700000\n");
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
	CHECK_EQ(count(), 7);
}

TEST(a_directory_that_is_gone)
{
	put_process("0::/a/b (deleted)\n", V2);
	put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
	CHECK_EQ(count(), 3);
}

/* ---- hierarchies ---------------------------------------------------------------------------------------------------- */

TEST(hybrid)
{
	put_process("5:cpu,cpuacct:/app\n1:name=systemd:/app\n0::/app\n",
		"31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
		"32 31 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		"33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
		"34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
	put("/sys/fs/cgroup/unified/app/cgroup.procs", "1\n");
	put("/sys/fs/cgroup/systemd/app/cpu.cfs_quota_us", "200000\n");
	put("/sys/fs/cgroup/systemd/app/cpu.cfs_period_us", "100000\n");
	CHECK_EQ(count(), CPUS);
	put("/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "600000\n");
	put("/sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "100000\n");
	CHECK_EQ(count(), 6);
	put("/sys/fs/cgroup/unified/app/cpu.max", "300000 100000\n");
	CHECK_EQ(count(), 3);
}

TEST(only_the_controller_cpu)
{
	put_process("5:cpuset:/app\n6:cpuacct:/app\n", "34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpuset,cpuacct\n" V2);
	put("/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "300000\n");
	put("/sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "100000\n");
	put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
	CHECK_EQ(count(), CPUS);
}

TEST(colons_in_a_path)
{
	put_process("0::/a:b/c:\n", V2);
	put("/sys/fs/cgroup/a:b/c:/cpu.max", "300000 100000\n");
	CHECK_EQ(count(), 3);
}

/* ---- where a hierarchy is mounted ----------------------------------------------------------------------------------- */

TEST(a_part_of_the_hierarchy)
{
	put_process("0::/docker/abc/app\n", "36 35 0:30 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
	put("/sys/fs/cgroup/app/cpu.max", "500000 100000\n");
	put("/sys/fs/cgroup/docker/abc/app/cpu.max", "200000 100000\n");
	CHECK_EQ(count(), 5);
	put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
	CHECK_EQ(count(), 3);
	put("/proc/self/cgroup", "0::/docker/abc\n");
	CHECK_EQ(count(), 3);
	put("/proc/self/cgroup", "0::/docker/abcd/app\n");
	put("/sys/fs/cgroupd/app/cpu.max", "300000 100000\n");
	CHECK_EQ(count(), CPUS);
	put("/proc/self/cgroup", "0::/docker\n");
	CHECK_EQ(count(), CPUS);
}

TEST(mounted_twice)
{
	put_process("0::/pod/app\n",
		"36 35 0:30 /other /mnt/other ro - cgroup2 cgroup rw\n"
		"36 35 0:30 /pod /mnt/pod ro - cgroup2 cgroup rw\n");
	put("/mnt/other/cpu.max", "200000 100000\n");
	put("/mnt/pod/app/cpu.max", "400000 100000\n");
	CHECK_EQ(count(), 4);
}

TEST(mounted_on_the_root)
{
	put_process("0::/app\n", "36 35 0:30 / / ro - cgroup2 cgroup rw\n");
	put("/app/cpu.max", "400000 100000\n");
	CHECK_EQ(count(), 4);
}

TEST(escaped_paths)
{
	put_process("0::/a b\\c/d\n", "36 35 0:30 /a\\040b\\134c /mnt/x\\011y\\040z ro - cgroup2 cgroup rw\n");
	put("/mnt/x\ty z/d/cpu.max", "300000 100000\n");
	CHECK_EQ(count(), 3);
	put_process("0::/app\n", "36 35 0:30 / /mnt/a\\04\\081\\477 ro - cgroup2 cgroup rw\n");
	put("/mnt/a\\04\\081\\477/app/cpu.max", "400000 100000\n");
	CHECK_EQ(count(), 4);
}

/* The mount shows more than the namespace: its root is above the namespace's. */
TEST(root_above_the_namespace)
{
	put_process("0::/app\n", "36 35 0:30 /../.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
	put("/sys/fs/cgroup/app/cpu.max", "200000 100000\n"); /* another one of this name */
	CHECK_EQ(count(), CPUS);
	put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
	CHECK_EQ(count(), 3);
	put("/proc/self/mountinfo", "%s", "36 35 0:30 /../other /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
	CHECK_EQ(count(), CPUS);
}

/* The process was moved out of what its namespace shows. */
TEST(process_above_the_namespace)
{
	put_process("0::/../app\n", V2);
	put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
	put("/sys/fs/app/cpu.max", "200000 100000\n");
	CHECK_EQ(count(), CPUS);
	put("/proc/self/mountinfo", "%s", "36 35 0:30 /.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
	put("/sys/fs/cgroup/app/cpu.max", "200000 100000\n");
	CHECK_EQ(count(), 2);
	put("/proc/self/cgroup", "0::/..app\n");
	put("/proc/self/mountinfo", V2);
	put("/sys/fs/cgroup/..app/cpu.max", "200000 100000\n");
	CHECK_EQ(count(), 2);
}

/* ---- broken and huge lines ------------------------------------------------------------------------------------------ */

TEST(broken_lines)
{
	put_process("\n0\n0:\n::\n:cpu\n0:/app\nx\n0::app\n0::/app\n",
		"\n36\n36 35 0:30\n36 35 0:30 / /sys/fs/cgroup\n36 35 0:30 / /sys/fs/cgroup ro -\n"
		"36 35 0:30 / /sys/fs/cgroup ro - cgroup2\n"
		"36 35 0:30 / /sys/fs/cgroup ro - cgroup2 cgroup\n - cgroup2 cgroup rw\n- - - - -\n" V2);
	put("/sys/fs/cgroup/app/cpu.max", "300000 100000");
	CHECK_EQ(count(), 3);
}

TEST(no_newline_at_the_end)
{
	put_process("0::/app", "36 35 0:30 / /sys/fs/cgroup ro shared:1 master:2 propagate_from:3 - cgroup2  rw");
	put("/sys/fs/cgroup/app/cpu.max", "300000 100000");
	CHECK_EQ(count(), 3);
}

TEST(huge_lines)
{
	size_t n = 300000;
	char *huge = malloc(n + 1);
	CHECK(huge);
	memset(huge, 'x', n);
	huge[n] = 0;
	put("/proc/self/cgroup", "3:cpu:/%s\n0::/app\n4:%s:/app\n", huge, huge);
	put("/proc/self/mountinfo", "35 1 0:30 / /merged rw - overlay overlay rw,lowerdir=%s\n"
		"36 1 0:30 / /%s rw - cgroup2 cgroup rw\n%s", huge, huge, V2);
	put("/sys/fs/cgroup/app/cpu.max", "300000 100000\n");
	CHECK_EQ(count(), 3);
	put("/sys/fs/cgroup/app/cpu.max", "300000 %056d %s\n", 100000, huge); /* cut after 63 bytes it would be one */
	CHECK_EQ(count(), CPUS);
	free(huge);
}

/* ---- this machine --------------------------------------------------------------------------------------------------- */

TEST(here)
{
	int n = wf_os_cpu_count();
	CHECK_GE(n, 1);
	CHECK_LE(n, sysconf(_SC_NPROCESSORS_CONF));
}
