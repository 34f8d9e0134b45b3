/* SPDX-License-Identifier: BSD-3-Clause */
/* facts: the impure half of plan.h: what this machine is, from hwloc, sysfs and the affinity mask. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/plan.h"

#define HUGEPAGES_DIR "/sys/kernel/mm/hugepages"
#define CLOCKSOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define ISOLATED "/sys/devices/system/cpu/isolated"

/* First line of a small file, without its end; empty if there is none. */
static void
read_line(const char *path, char *ret, size_t bytes)
{
	FILE *file = fopen(path, "re");

	ret[0] = '\0';
	if (file == NULL)
		return;
	if (fgets(ret, (int)bytes, file) == NULL)
		ret[0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	fclose(file);
}

static void
read_hugepages(struct bb_plan_facts *f)
{
	DIR *dir = opendir(HUGEPAGES_DIR);
	const struct dirent *entry;

	if (dir == NULL)
		return; /* a kernel without them */
	while ((entry = readdir(dir)) != NULL) {
		char path[512], line[32];
		unsigned long long kib;

		if (sscanf(entry->d_name, "hugepages-%llukB", &kib) != 1)
			continue;
		snprintf(path, sizeof(path), HUGEPAGES_DIR "/%s/free_hugepages", entry->d_name);
		read_line(path, line, sizeof(line));
		const uint64_t page = (uint64_t)kib * 1024;
		const uint64_t free_bytes = strtoull(line, NULL, 10) * page;
		/* With none free anywhere, name the smallest: it is the one to ask the kernel for. */
		if (f->hugepage_bytes == 0 || free_bytes > f->hugepages_free_bytes ||
			(free_bytes == f->hugepages_free_bytes && page < f->hugepage_bytes)) {
			f->hugepages_free_bytes = free_bytes;
			f->hugepage_bytes = page;
		}
	}
	closedir(dir);
}

int
bb_plan_facts_read(struct bb_plan_facts *ret)
{
	struct bb_plan_facts f = { 0 };
	char line[256];

	if (hwloc_topology_init(&f.topology) != 0)
		return -ENOMEM;
	/* CPUs that exist but are not ours must be told from those that do not exist. */
	hwloc_topology_set_flags(f.topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
	f.allowed = hwloc_bitmap_alloc();
	f.isolated = hwloc_bitmap_alloc();
	if (hwloc_topology_load(f.topology) != 0 || f.allowed == NULL || f.isolated == NULL ||
		hwloc_get_cpubind(f.topology, f.allowed, HWLOC_CPUBIND_THREAD) != 0) {
		bb_plan_facts_free(&f);
		return -EIO;
	}
	/* The mask may name CPUs that were never there. */
	hwloc_bitmap_and(f.allowed, f.allowed, hwloc_topology_get_topology_cpuset(f.topology));

	read_line(ISOLATED, line, sizeof(line));
	hwloc_bitmap_list_sscanf(f.isolated, line);
	read_line(CLOCKSOURCE, line, sizeof(line));
	f.clock_slow = strcmp(line, "hpet") == 0 || strcmp(line, "acpi_pm") == 0 || strcmp(line, "xen") == 0;
	read_hugepages(&f);
	*ret = f;
	return 0;
}

void
bb_plan_facts_free(struct bb_plan_facts *f)
{
	if (f->topology != NULL)
		hwloc_topology_destroy(f->topology);
	hwloc_bitmap_free(f->allowed);
	hwloc_bitmap_free(f->isolated);
	*f = (struct bb_plan_facts){ 0 };
}
