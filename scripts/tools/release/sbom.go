package main

import (
	"debug/buildinfo"
	"maps"
	"os"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// boms writes a list of the modules in each archive, as the programs in it name them (go version -m). It has no serial
// number and no time, so it is the same each time.
func (r *release) boms() error {
	for _, p := range r.platforms {
		if err := r.bom(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) bom(p platform) error {
	archive := r.archive(p) + ".tar.gz"
	sum, err := r.sum(archive)
	if err != nil {
		return err
	}
	components := map[string]cdx.Component{}
	var dependencies []cdx.Dependency
	var refs []string
	for _, program := range programs {
		info, err := buildinfo.ReadFile(r.binary(p, program.name))
		if err != nil {
			return err
		}
		std := golang("std", strings.TrimPrefix(info.GoVersion, "go"))
		components[std.BOMRef] = std
		uses := []string{std.BOMRef}
		for _, module := range info.Deps {
			c := golang(module.Path, module.Version)
			components[c.BOMRef] = c
			uses = append(uses, c.BOMRef)
		}
		slices.Sort(uses)
		c := cdx.Component{
			BOMRef: program.name, Type: cdx.ComponentTypeApplication, Name: program.name, Version: r.version, Licenses: mit(),
		}
		components[c.BOMRef] = c
		refs = append(refs, c.BOMRef)
		dependencies = append(dependencies, cdx.Dependency{Ref: c.BOMRef, Dependencies: &uses})
	}
	bom := cdx.NewBOM()
	root := cdx.Component{
		BOMRef: archive, Type: cdx.ComponentTypeFile, Name: archive, Version: r.version, Licenses: mit(),
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}},
	}
	bom.Metadata = &cdx.Metadata{Component: &root}
	var all []cdx.Component
	for _, ref := range slices.Sorted(maps.Keys(components)) {
		all = append(all, components[ref])
	}
	bom.Components = &all
	dependencies = append(dependencies, cdx.Dependency{Ref: root.BOMRef, Dependencies: &refs})
	bom.Dependencies = &dependencies
	f, err := os.Create(r.out("%s.cdx.json", r.archive(p)))
	if err != nil {
		return err
	}
	if err := cdx.NewBOMEncoder(f, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// golang describes a module. Its reference is its package URL.
func golang(path, version string) cdx.Component {
	purl := "pkg:golang/" + path + "@" + version
	return cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: purl}
}

func mit() *cdx.Licenses { return &cdx.Licenses{{License: &cdx.License{ID: "MIT"}}} }
