/** Types by oid: the built-in ones, and users' made from the catalog once per descriptor. */
import { DbError } from '../../base/index.ts'
import { arrayTypeOf, builtinTypes, compositeType, domainType, enumType } from '../types/registry.ts'
import type { Type, TypeLookup } from '../types/type.ts'
import type { Catalog } from './catalog.ts'
import type { TypeDescriptor } from './descriptors.ts'

const made = new WeakMap<TypeDescriptor, Type>()

export class CatalogTypes implements TypeLookup {
  readonly #catalog: () => Catalog

  constructor(catalog: () => Catalog) {
    this.#catalog = catalog
  }

  type(oid: number): Type {
    const builtin = builtinTypes.get(oid)
    if (builtin !== undefined) return builtin
    const descriptor = this.#catalog().type(oid)
    if (descriptor === undefined) throw new DbError('undefined_object', `type with OID ${oid} does not exist`)
    let type = made.get(descriptor)
    if (type === undefined) {
      type = this.#make(descriptor)
      // A composite type's columns are its relation's, which changes apart from the type.
      if (descriptor.form !== 'composite') made.set(descriptor, type)
    }
    return type
  }

  #make(d: TypeDescriptor): Type {
    const facts = { oid: d.oid, name: d.name, array: d.array }
    switch (d.form) {
      case 'enum':
        return enumType(
          facts,
          d.labels!.map((l) => ({ oid: l.oid, order: l.order, label: l.label })),
        )
      case 'domain':
        return domainType(facts, this.type(d.base!), d.typmod ?? -1)
      case 'array':
        return arrayTypeOf({ oid: d.oid, name: d.name }, this.type(d.element!))
      case 'composite':
        return compositeType(
          { ...facts, relation: d.relation! },
          () =>
            this.#catalog()
              .relationOf(d.relation!)
              .columns.filter((c) => !c.dropped)
              .map((c) => ({ name: c.name, type: this.type(c.type), typmod: c.typmod })) as never,
        )
    }
  }
}
