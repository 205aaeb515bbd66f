import { Migration } from '@mikro-orm/migrations';

/**
 * Objects that came, or came back, while stored links named them and were unresolved. The row is written with the object and goes when the
 * links are settled: a run that ends between the two leaves them to the next one.
 */
export class Migration007Arrivals extends Migration {
  override name = '007-arrivals';

  override up(): void {
    this.addSql(`create table tidemark.arrival (object_id bigint primary key, integration_id text collate "C" not null)`);
    this.addSql(`create index arrival_by_integration on tidemark.arrival (integration_id)`);
    this.addSql(`insert into tidemark.arrival (object_id, integration_id)
      select distinct o.id, o.integration_id
        from tidemark.unresolved_link u
        join tidemark.object o on o.integration_id = u.integration_id and o.source_id = u.target
       where o.deleted_at is null and o.deactivated_at is null`);
  }

  override down(): void {
    this.addSql(`drop table tidemark.arrival`);
  }
}
