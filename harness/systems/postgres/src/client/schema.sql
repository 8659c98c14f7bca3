-- Every object of the schema as its class, its name, and the MD5 of its definition. What belongs to an extension is left
-- out, and NOT NULL constraints that have a row of their own since version 18: the column says so already.
WITH ns AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
ext AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
rel AS (SELECT c.*, ns.nspname FROM pg_class c JOIN ns ON ns.oid=c.relnamespace
        WHERE NOT EXISTS (SELECT 1 FROM ext e WHERE e.classid='pg_class'::regclass AND e.objid=c.oid) AND c.relpersistence<>'t'),
obj(cls, ident, def) AS (
 SELECT 'schema', quote_ident(nspname), '' FROM ns
 UNION ALL SELECT 'extension', quote_ident(extname), extversion FROM pg_extension
 UNION ALL SELECT 'relation', format('%I.%I',nspname,relname), concat_ws('|', relkind, relpersistence, relrowsecurity, relforcerowsecurity, relispartition, relreplident, array_to_string(reloptions,','), pg_get_partkeydef(oid), pg_get_expr(relpartbound,oid)) FROM rel WHERE relkind IN ('r','p','v','m','f','S','c')
 UNION ALL SELECT 'inherits', format('%I.%I',c.nspname,c.relname), format('%I.%I',pn.nspname,p.relname)||'#'||i.inhseqno FROM pg_inherits i JOIN rel c ON c.oid=i.inhrelid AND c.relkind IN ('r','p','f') JOIN pg_class p ON p.oid=i.inhparent JOIN pg_namespace pn ON pn.oid=p.relnamespace
 UNION ALL SELECT 'column', format('%I.%I.%I',r.nspname,r.relname,a.attname), concat_ws('|', format_type(a.atttypid,a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, (SELECT collname FROM pg_collation WHERE oid=a.attcollation), pg_get_expr(d.adbin,d.adrelid))
   FROM rel r JOIN pg_attribute a ON a.attrelid=r.oid AND a.attnum>0 AND NOT a.attisdropped LEFT JOIN pg_attrdef d ON d.adrelid=r.oid AND d.adnum=a.attnum WHERE r.relkind IN ('r','p','f','v','m','c')
 UNION ALL SELECT 'constraint', format('%I.%I.%I',r.nspname,r.relname,k.conname), pg_get_constraintdef(k.oid)||'|'||k.convalidated FROM pg_constraint k JOIN rel r ON r.oid=k.conrelid WHERE k.contype <> 'n'
 UNION ALL SELECT 'index', format('%I.%I',r.nspname,r.relname), pg_get_indexdef(i.indexrelid)||'|'||i.indisvalid||i.indisready||i.indisreplident||i.indisclustered FROM pg_index i JOIN rel r ON r.oid=i.indexrelid WHERE i.indisvalid AND r.relkind IN ('i','I')
 UNION ALL SELECT 'view', format('%I.%I',nspname,relname), pg_get_viewdef(oid) FROM rel WHERE relkind IN ('v','m')
 UNION ALL SELECT 'trigger', format('%I.%I.%I',r.nspname,r.relname,t.tgname), pg_get_triggerdef(t.oid)||'|'||t.tgenabled::text FROM pg_trigger t JOIN rel r ON r.oid=t.tgrelid WHERE NOT t.tgisinternal
 UNION ALL SELECT 'policy', format('%I.%I.%I',r.nspname,r.relname,p.polname), concat_ws('|',p.polcmd,p.polpermissive,(SELECT string_agg(CASE WHEN o=0 THEN 'PUBLIC' ELSE pg_get_userbyid(o)::text END,',' ORDER BY 1) FROM unnest(p.polroles) o),pg_get_expr(p.polqual,p.polrelid),pg_get_expr(p.polwithcheck,p.polrelid)) FROM pg_policy p JOIN rel r ON r.oid=p.polrelid
 UNION ALL SELECT 'function', format('%I.%I(%s)',ns.nspname,p.proname,pg_get_function_identity_arguments(p.oid)), CASE WHEN p.prokind IN ('a') THEN 'aggregate' ELSE pg_get_functiondef(p.oid) END FROM pg_proc p JOIN ns ON ns.oid=p.pronamespace WHERE NOT EXISTS (SELECT 1 FROM ext e WHERE e.classid='pg_proc'::regclass AND e.objid=p.oid)
 UNION ALL SELECT 'type', format('%I.%I',ns.nspname,t.typname), concat_ws('|',t.typtype, CASE WHEN t.typtype='d' THEN format_type(t.typbasetype,t.typtypmod) END, t.typnotnull, t.typdefault, (SELECT string_agg(enumlabel,',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid=t.oid)) FROM pg_type t JOIN ns ON ns.oid=t.typnamespace WHERE t.typtype IN ('e','d','r','m') AND NOT EXISTS (SELECT 1 FROM ext e WHERE e.classid='pg_type'::regclass AND e.objid=t.oid)
 UNION ALL SELECT 'domain_constraint', format('%I.%I.%I',ns.nspname,t.typname,k.conname), pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_type t ON t.oid=k.contypid JOIN ns ON ns.oid=t.typnamespace
 UNION ALL SELECT 'sequence', format('%I.%I',r.nspname,r.relname), concat_ws('|',format_type(s.seqtypid,NULL),s.seqstart,s.seqincrement,s.seqmax,s.seqmin,s.seqcache,s.seqcycle) FROM pg_sequence s JOIN rel r ON r.oid=s.seqrelid
 UNION ALL SELECT 'rule', format('%I.%I.%I',r.nspname,r.relname,w.rulename), pg_get_ruledef(w.oid) FROM pg_rewrite w JOIN rel r ON r.oid=w.ev_class WHERE w.rulename<>'_RETURN'
 UNION ALL SELECT 'statistics', format('%I.%I',ns.nspname,s.stxname), pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s JOIN ns ON ns.oid=s.stxnamespace
)
SELECT cls, ident, md5(string_agg(coalesce(def, ''), E'\x1e' ORDER BY def COLLATE "C"))
FROM obj GROUP BY cls, ident ORDER BY cls, ident COLLATE "C"
